/*
 * C++ with its library: exceptions, streams, containers, static objects. A word on the command line is an
 * end without a handler.
 */
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iomanip>
#include <iostream>
#include <locale>
#include <map>
#include <memory>
#include <random>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "solo5.h"

#define CHECK(condition)                                                  \
    do {                                                                  \
        if (!(condition)) {                                               \
            std::cout << "FAILURE: line " << __LINE__ << ": " #condition; \
            return 1;                                                     \
        }                                                                 \
    } while (0)

namespace {

struct Static {
    std::string text = "made";
    ~Static() { std::puts("static object destroyed"); }
} object;

int unwound = 0;

struct Unwinds {
    ~Unwinds() { unwound++; }
};

[[gnu::noinline]] void throws(int depth)
{
    Unwinds here;
    if (depth == 0)
        throw std::runtime_error("thrown");
    throws(depth - 1);
}

Static &local()
{
    static Static only;
    return only;
}

thread_local std::vector<int> per_thread = { 1, 2, 3 };

} // namespace

int main(int argc, char **argv)
{
    if (argc > 1)
        throw std::logic_error(argv[1]);
    CHECK(object.text == "made" && local().text == "made");
    try {
        throws(9);
        CHECK(false);
    } catch (const std::logic_error &) {
        CHECK(false);
    } catch (const std::exception &error) {
        CHECK(error.what() == std::string("thrown") && unwound == 10);
    }
    try {
        std::vector<int>().at(3);
        CHECK(false);
    } catch (const std::out_of_range &) {
    }
    volatile size_t much = size_t(1) << 40;
    try {
        ::operator delete(::operator new(much));
        CHECK(false);
    } catch (const std::bad_alloc &) {
    }
    try {
        std::thread another([] {});
        CHECK(false);
    } catch (const std::system_error &error) {
        CHECK(error.code() == std::errc::resource_unavailable_try_again);
    }
    std::ostringstream out;
    out << std::fixed << std::setprecision(2) << 1.005e3 << ' ' << std::hex << 255 << std::boolalpha << true;
    CHECK(out.str() == "1005.00 fftrue");
    std::istringstream in(" 12 x 3.5");
    int number;
    std::string word;
    double real;
    CHECK(in >> number >> word >> real && number == 12 && word == "x" && real == 3.5);
    std::map<std::string, std::function<int(int)>> table{ { "twice", [](int n) { return 2 * n; } } };
    CHECK(table.at("twice")(21) == 42);
    CHECK(std::regex_match("solo5.spt", std::regex(R"((\w+)\.(spt|hvt))")));
    CHECK(std::isalpha('x', std::locale()) && std::toupper('x', std::locale::classic()) == 'X');
    CHECK(dynamic_cast<std::ostream *>(static_cast<std::ios *>(&out)) != nullptr);
    per_thread.push_back(4);
    CHECK(per_thread.size() == 4);
    std::random_device random;
    std::mt19937 generator(random());
    std::vector<int> many(1000);
    std::generate(many.begin(), many.end(), [&] { return int(generator()); });
    std::sort(many.begin(), many.end());
    CHECK(std::is_sorted(many.begin(), many.end()) && many.front() < many.back());
    auto start = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(5));
    std::cout << "SUCCESS" << std::endl;
    return 0;
}
