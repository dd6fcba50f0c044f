/* A service in C++, in the style of IncludeOS: Service::start() is called once, with the arguments. */

#include <chrono>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace Service {

void start(const std::vector<std::string> &arguments)
{
    std::map<std::string, int> seen;
    for (const auto &word : arguments)
        seen[word]++;
    for (const auto &[word, times] : seen)
        std::cout << word << ": " << times << '\n';
    for (int tick = 1; tick <= 3; tick++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        std::cout << "tick " << tick << '\n';
    }
    if (seen.empty())
        throw std::invalid_argument("nothing to count");
}

} // namespace Service

int main(int argc, char **argv)
{
    try {
        Service::start({ argv + 1, argv + argc });
    } catch (const std::exception &error) {
        std::cerr << "service: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
